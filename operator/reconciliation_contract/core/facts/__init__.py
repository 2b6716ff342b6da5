"""What was seen, and what follows from it alone: records of the world in, facts out.

Law: no memory, no contract's history; the same facts always say the same.
"""
