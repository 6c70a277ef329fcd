"""Files beneath a root: tree walk in key order, whole-step reads and writes off the loop, durable replacement."""
