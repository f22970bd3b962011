"""libcurl's own signing: arguments are method, address, region, keys and body. Prints the status and the answer."""

import io
import sys

import pycurl

method, address, region, keys, content = sys.argv[1:]
answer = io.BytesIO()
curl = pycurl.Curl()
curl.setopt(pycurl.URL, address)
curl.setopt(pycurl.CUSTOMREQUEST, method)
curl.setopt(pycurl.AWS_SIGV4, f"aws:amz:{region}:execute-api")
curl.setopt(pycurl.USERPWD, keys)
if content:
    curl.setopt(pycurl.POSTFIELDS, content)
curl.setopt(pycurl.WRITEDATA, answer)
curl.perform()
print(curl.getinfo(pycurl.RESPONSE_CODE), answer.getvalue().decode())
