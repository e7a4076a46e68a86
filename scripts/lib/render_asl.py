"""Fill the placeholders of state machines with stand-ins, so that a validator can read them.

    render_asl.py OUT FILE...

`${name_arn}` becomes an ARN, `${partition}` that of an ARN, every other `${name}` the
number 1, as Terraform's templatefile would put them; `$${` stays a plain `${`.
"""

import json
import re
import sys
from pathlib import Path

PLACEHOLDER = re.compile(r"(?<!\$)\$\{\s*([a-z0-9_]+)\s*\}")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:stand-in"


def render(text):
    filled = PLACEHOLDER.sub(lambda match: stand_in(match[1]), text)
    return filled.replace("$${", "${")


def stand_in(name):
    if name.endswith("_arn"):
        return ARN
    return "aws" if name == "partition" else "1"


def main(out, files):
    out.mkdir(parents=True, exist_ok=True)
    for stale in out.glob("*.json"):
        stale.unlink()
    if not files:
        sys.exit("there is no state machine in statemachines/")
    for file in files:
        text = render(file.read_text())
        try:
            json.loads(text)
        except ValueError as error:
            sys.exit(f"{file}: not JSON once its placeholders are filled: {error}")
        (out / file.name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
