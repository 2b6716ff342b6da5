"""What a person declared and asks for."""
