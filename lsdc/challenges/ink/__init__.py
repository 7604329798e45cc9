"""The ink challenge: Vesuvius Challenge - Ink Detection, in volumes of papyrus fragments."""
