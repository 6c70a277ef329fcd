"""S3 on the wire: engines, signing, listing parser, endpoints, profiles, errors, and the remote that composes them."""
