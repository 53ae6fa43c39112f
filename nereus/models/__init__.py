"""The method library: trainable methods arrive in a later slice."""
