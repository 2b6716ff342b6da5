"""What is kept between passes, and what a pass may ask for: values only."""
