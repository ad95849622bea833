"""`python -m noggd.cli`: the command line where no script was installed for it."""

import sys

from noggd.cli.main import main

sys.exit(main())
