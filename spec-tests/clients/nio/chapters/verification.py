"""Alice and Bob compare emoji, so that each trusts the other's device."""

from nio import ToDeviceResponse

from device import expect
from step import step
from wait import until


@step("Alice and Bob verify each other by emoji")
async def _(world):
    alice, bob = world.alice.client, world.bob.client
    before = set(alice.key_verifications)
    expect(ToDeviceResponse, await alice.start_key_verification(world.alice.peer(world.bob)))
    (transaction,) = set(alice.key_verifications) - before

    await until("the verification's start in Bob's sync", lambda: transaction in bob.key_verifications)
    expect(ToDeviceResponse, await bob.accept_key_verification(transaction))
    hers, his = alice.key_verifications[transaction], bob.key_verifications[transaction]
    for who, sas in (("Alice", hers), ("Bob", his)):
        await until(f"the other's key for {who}", lambda: sas.established_sas or sas.canceled)
    assert hers.get_emoji() == his.get_emoji(), (hers.cancel_reason, his.cancel_reason)

    expect(ToDeviceResponse, await alice.confirm_short_auth_string(transaction))
    expect(ToDeviceResponse, await bob.confirm_short_auth_string(transaction))
    await until("Bob's device to be verified for Alice", lambda: world.alice.peer(world.bob).verified)
    await until("Alice's device to be verified for Bob", lambda: world.bob.peer(world.alice).verified)
