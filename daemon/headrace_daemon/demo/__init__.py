"""`headraced demo`: the whole path on real servers, on one machine, with proof at the end."""
