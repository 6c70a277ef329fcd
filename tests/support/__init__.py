"""What tests stand on: real servers, a proxy that breaks things, and the one device that cannot be had."""
