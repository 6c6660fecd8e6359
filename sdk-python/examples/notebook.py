"""A notebook as a script: the cells are separated by `# %%`, and nothing in it knows asyncio."""

# %% Connect
import sys

import arqonbus.sync as arqonbus

url = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:9100"
bus = arqonbus.connect(url, name="notebook")
print(bus.state)

# %% Publish some measurements
for step in range(5):
    bus.publish("lab:temperature", {"step": step, "celsius": 20 + step / 2})

# %% Read them back
measurements = [message.payload for message in bus.history("lab:temperature")]
print("mean", sum(measurement["celsius"] for measurement in measurements) / len(measurements))

# %% Follow what comes, for a moment
with bus.join("lab:temperature", replay=1) as topic:
    print("last", topic.get(timeout=5).payload)

# %% Go
bus.drain()
