"""`headraced verify`: do two locations hold the same, and what shows it?"""
