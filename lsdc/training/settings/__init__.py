"""The settings of training, without torch; a challenge's experiments are composed of them."""
