"""Money: integer minor units inside, decimals in major units outside, and no float anywhere."""

from decimal import Decimal

from iso4217 import Currency

DEFAULT_CURRENCY = "USD"
AMOUNT_MINOR_MAX = 10**15


class MoneyError(ValueError):
    """The amount or the currency means nothing. The text says which rule it breaks; correct the amount."""


_exponents = {currency.code: currency.exponent for currency in Currency}


def exponent(currency: str) -> int:
    """Return the number of decimals of an ISO 4217 currency.

    Raises:
        MoneyError: when there is no such currency, or it has no minor unit (gold, for example).
    """
    found = _exponents.get(currency)
    if found is None:
        text = f"{currency!r} is not an ISO 4217 currency with a minor unit, such as USD, EUR or JPY"
        raise MoneyError(text)
    return found


def to_minor(amount: Decimal, currency: str) -> int:
    """Return the amount in minor units.

    Raises:
        MoneyError: when it is not finite, has more decimals than the currency, or is out of bounds.
    """
    decimals = exponent(currency)
    if not amount.is_finite():
        text = f"{amount} is not an amount of money"
        raise MoneyError(text)
    if not -AMOUNT_MINOR_MAX <= amount <= AMOUNT_MINOR_MAX:
        text = f"{amount} {currency} is beyond what is handled"
        raise MoneyError(text)
    minor = int(amount.scaleb(decimals))
    if Decimal(minor).scaleb(-decimals) != amount:  # comparing is exact; scaling rounds to the context's 28 digits
        text = f"{amount} has too many decimals: {currency} has {decimals}"
        raise MoneyError(text)
    return minor


def to_major(amount_minor: int, currency: str) -> Decimal:
    """Return the amount in major units, with exactly the currency's decimals."""
    return Decimal(amount_minor).scaleb(-exponent(currency))
