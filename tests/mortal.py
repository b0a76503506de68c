"""Whoever runs the tests, as somebody whom the modes of files hold back."""

import os

# Root passes by every mode; without these two capabilities it is held to them like anybody else.
MORTAL = (
    ("setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search")
    if os.geteuid() == 0
    else ()
)
