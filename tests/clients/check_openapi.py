"""Whether the descriptions of a running server are valid OpenAPI, by a validator that is not ours.

    python check_openapi.py http://localhost:8080 http://localhost:8083

Exits with 1 and the first fault of each description. Asks for the descriptions alone.
"""

import json
import sys
import urllib.request

from openapi_spec_validator import OpenAPIV31SpecValidator

PATHS = ("/openapi.json", "/v3/api-docs")


def faults(url):
    """Every fault of the description at `url`, in words."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        description = json.load(answer)
    for fault in OpenAPIV31SpecValidator(description).iter_errors():
        yield f"{'/'.join(map(str, fault.absolute_path))}: {fault.message}"


def main():
    found = 0
    for server in sys.argv[1:]:
        for path in PATHS:
            for fault in faults(server + path):
                print(f"{server}{path}: {fault[:400]}")
                found += 1
    print(f"{len(sys.argv) - 1} servers, {found} faults in their descriptions")
    return 1 if found or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
