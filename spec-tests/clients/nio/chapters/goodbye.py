"""Devices go: one removed with the password, the others by log-out; and nothing on the way was malformed."""

from nio import (
    DeleteDevicesAuthResponse,
    DeleteDevicesResponse,
    DevicesResponse,
    LogoutResponse,
    UpdateDeviceResponse,
    WhoamiError,
)

from device import expect
from step import step
from wait import until


@step("Alice removes her second device with her password")
async def _(world):
    alice, alice2, bob = world.alice, world.alice2, world.bob
    expect(UpdateDeviceResponse, await alice.client.update_device(alice2.device_id, {"display_name": "lost"}))
    listed = expect(DevicesResponse, await alice.client.devices()).devices
    assert {device.id: device.display_name for device in listed}[alice2.device_id] == "lost", listed
    # Its sync is to end by Alice's will, not by an error that it would complain about.
    complaints = list(alice2.complaints)
    await alice2.stop()

    asked = expect(DeleteDevicesAuthResponse, await alice.client.delete_devices([alice2.device_id]))
    assert {"stages": ["m.login.password"]} in asked.flows, asked
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": world.alice_account.name},
        "password": world.alice_account.password,
        "session": asked.session,
    }
    expect(DeleteDevicesResponse, await alice.client.delete_devices([alice2.device_id], auth))
    assert expect(WhoamiError, await alice2.client.whoami()).status_code == "M_UNKNOWN_TOKEN"
    await alice2.client.close()
    await until("the device to leave Bob's list of Alice's devices", lambda: gone(bob, alice2))
    assert not complaints, complaints


@step("nothing that the server sent was malformed")
async def _(world):
    for device in (world.alice, world.bob):
        assert not device.complaints, device.complaints


@step("Alice and Bob log out")
async def _(world):
    for device in (world.alice, world.bob):
        token = device.client.access_token
        await device.stop()
        expect(LogoutResponse, await device.client.logout())
        device.client.access_token = token
        assert expect(WhoamiError, await device.client.whoami()).status_code == "M_UNKNOWN_TOKEN"
        await device.client.close()


def gone(watcher, device):
    known = watcher.client.device_store[device.user_id]
    return device.device_id not in known or known[device.device_id].deleted
