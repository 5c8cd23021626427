import pytest

from stratum.domain.errors import AccessDenied
from stratum.domain.request_payment import Payer, check_payer


@pytest.mark.parametrize("payer", [None, Payer.BUCKET_OWNER, Payer.REQUESTER])
def test_owners_never_pay_as_requesters(payer):
    assert check_payer(payer, is_owner=True, said=None) is False


def test_others_must_say_that_they_know():
    assert check_payer(Payer.REQUESTER, is_owner=False, said="requester") is True
    assert check_payer(Payer.BUCKET_OWNER, is_owner=False, said="requester") is False
    for said in (None, "", "owner"):
        with pytest.raises(AccessDenied):
            check_payer(Payer.REQUESTER, is_owner=False, said=said)
