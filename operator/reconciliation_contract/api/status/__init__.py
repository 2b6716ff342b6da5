"""The status: memory rendered for people and read back.

Law: what is rendered is parsed again as it was.
"""
