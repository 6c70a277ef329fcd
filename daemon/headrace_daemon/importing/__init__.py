"""`headraced import-config`: the configuration of another program as ours."""
