"""Gene sets that ship with the package, and the tests that use them."""
