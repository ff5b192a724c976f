"""What all tests share."""

from hypothesis import settings

# how long an example takes says more about the machine than about the code
settings.register_profile("migsafe", deadline=None, print_blob=True)
settings.load_profile("migsafe")
