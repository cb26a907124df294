"""A mail server for tests: each mail that it accepts is one line of JSON on standard output. It ends with its standard input.

smtp.py PORT                          accepts everything
smtp.py PORT CERTIFICATE KEY LOGIN PASSWORD   demands STARTTLS and a login
"""

import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(
            json.dumps(
                {
                    "to": envelope.rcpt_tos,
                    "from": envelope.mail_from,
                    "tls": session.ssl is not None,
                    "subject": mail["subject"],
                    "id": mail["message-id"],
                    "thread": mail["references"],
                    "automatic": mail["auto-submitted"],
                    "body": mail.get_content(),
                }
            ),
            flush=True,
        )
        return "250 OK"


def options(arguments):
    if not arguments:
        return {}
    certificate, key, login, password = arguments

    def check(server, session, envelope, mechanism, data):
        known = (data.login, data.password) == (login.encode(), password.encode())
        return AuthResult(success=known, handled=known)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": check}


controller = Controller(Handler(), hostname="127.0.0.1", port=int(sys.argv[1]), **options(sys.argv[2:]))
controller.start()
print("ready", flush=True)
sys.stdin.read()
controller.stop()
