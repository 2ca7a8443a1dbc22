"""Train an adapter of one person: accelerate launch train.py --config configs/pocket.yaml person=people/ana [key=value ...]

Exit status: 0 when the adapter is written; 2 for a mistake that one line explains; 75 (EX_TEMPFAIL) when SIGTERM or
Ctrl-C stopped the run after saving it: the same command goes on from there. (accelerate's launcher turns every status
other than 0 into 1 and adds a traceback of its own.)
"""

import sys

from training.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
