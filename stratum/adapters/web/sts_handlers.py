"""What the STS API can do: who am I, a session of a role, a session of mine."""

from __future__ import annotations

from collections.abc import Mapping

from stratum.adapters.s3.dates import format_iso_date
from stratum.adapters.web.iam_arguments import duration, required, unsupported
from stratum.adapters.web.iam_front import Action, Call, Result
from stratum.app.sessions import SESSION_DEFAULT_S, TOKEN_DEFAULT_S, Sessions
from stratum.domain.errors import AccessDenied
from stratum.domain.identity import Session


class StsHandlers:
    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def actions(self) -> Mapping[str, Action]:
        """All actions by name."""
        return {
            "GetCallerIdentity": self.caller_identity,
            "AssumeRole": self.assume_role,
            "GetSessionToken": self.session_token,
        }

    async def caller_identity(self, call: Call) -> Result:
        """Needs no permission, as with Amazon."""
        who = call.who
        if who.is_anonymous:
            raise AccessDenied("Access Denied")
        return {"UserId": who.user_id, "Account": who.account_number, "Arn": who.arn}

    async def assume_role(self, call: Call) -> Result:
        unsupported(call.fields, "PolicyArns.member.1.arn", "Tags.member.1.Key", "SerialNumber")
        session, token, role, arn = self._sessions.assume_role(
            call.who,
            required(call.fields, "RoleArn"),
            required(call.fields, "RoleSessionName"),
            call.keys,
            duration(call.fields, "DurationSeconds", SESSION_DEFAULT_S),
            call.fields.get("Policy", ""),
        )
        return {
            "Credentials": _credentials(session, token),
            "AssumedRoleUser": {"AssumedRoleId": f"{role.id}:{session.name}", "Arn": arn},
        }

    async def session_token(self, call: Call) -> Result:
        unsupported(call.fields, "SerialNumber")
        asked_s = duration(call.fields, "DurationSeconds", TOKEN_DEFAULT_S)
        return {"Credentials": _credentials(*self._sessions.session_token(call.who, asked_s))}


def _credentials(session: Session, token: str) -> dict[str, object]:
    return {
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret,
        "SessionToken": token,
        "Expiration": format_iso_date(session.expires_at_ms),
    }
