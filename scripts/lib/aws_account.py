"""Print the AWS account that the credentials at hand belong to; the reason on standard error if none do."""

import sys

import botocore.exceptions
import botocore.session

try:
    client = botocore.session.get_session().create_client("sts", region_name="us-east-1")
    print(client.get_caller_identity()["Account"])
except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
    sys.exit(str(error))
