"""Where a redriven message goes: back, or where its type belongs, and only where its service or a person may send it.

A letter says itself which message it holds and where that came from, and a person may write where its author may not.
"""

from onebox.wiring import ALL_ACCESS
from sagakit.ports import Log
from sagakit.runtime.dead_letters import DeadLetter, NotRedrivableError, is_in_log
from sagakit.runtime.topics import commands_topic
from shop_contracts.carried import topics


def topic_for(letter: DeadLetter) -> str:
    """Return the topic that messages of this type come to its service from; nothing when that is not certain."""
    carrying = [topic for topic, kinds in topics().items() if letter.type in kinds]
    own = commands_topic(letter.service)
    if own in carrying:
        return own
    return carrying[0] if len(carrying) == 1 else ""


async def refuse_made_up(log: Log, letter: DeadLetter, topic: str, named: str) -> None:
    """Refuse what the letter's author may have made up, unless the person has named the topic it would go to.

    Raises:
        NotRedrivableError: when the letter's service does not read the topic, or when others believe what comes there,
            the service may not write there, and the log does not hold the message where the letter says that it was.
        LetterGoneError: when the log does not hold the letter any more.
        LogUnavailableError: when it cannot be looked up.
    """
    if not topic or topic == named:
        return
    access = ALL_ACCESS.get(letter.service)
    if access is not None and topic not in access.reads:
        raise NotRedrivableError(f"{letter.id}: it would go to {topic}, which {letter.service} does not read")
    others = [its for service, its in ALL_ACCESS.items() if service != letter.service and topic in its.reads]
    if others and (access is None or topic not in access.writes) and not await is_in_log(log, letter):
        rule = f"others read {topic} too, and the log does not hold it where it says it was; --to {topic} sends it"
        raise NotRedrivableError(f"{letter.id}: {rule} all the same")
