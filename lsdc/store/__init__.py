"""What is kept between stages, and how it is recognised."""
