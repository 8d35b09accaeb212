"""Telnyx and Twilio on loopback, with real media, a life in time and a fault script; it knows nothing of the product it tests.

world = World(clock=lambda: datetime.now(UTC), seed=1)
populate(world, 300)
async with serve(world) as simulation:
    simulation.faults.add(Rule(name="cut once", action=actions.cut(0.5), host="media", times=1, per_path=True))
    ...  # simulation.telnyx_url, .twilio_url, .media_url, .credentials, .audit
expected = expectations(world)
assert not simulation.faults.unreached()
"""
