"""HTTP in, bus out, and the bus as server-sent events: `ARQONBUS=ws://127.0.0.1:9100 uvicorn fastapi_bridge:app`."""

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

import arqonbus


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """One bus for the whole application."""
    async with arqonbus.connect(os.environ.get("ARQONBUS", "ws://127.0.0.1:9100"), name="bridge") as bus:
        app.state.bus = bus
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/topics/{topic}")
async def publish(topic: str, payload: dict[str, Any], request: Request) -> dict[str, Any]:
    """Publishes the body; the answer says what the message survives."""
    bus: arqonbus.Bus = request.app.state.bus
    try:
        ack = await bus.publish(topic, payload)
    except (arqonbus.Invalid, arqonbus.Rejected) as error:
        raise HTTPException(400, str(error)) from error
    except arqonbus.Unknown as error:
        raise HTTPException(504, "it may have been stored or not") from error
    return {"seq": ack.position.seq if ack.position else None, "durability": ack.durability}


@app.get("/topics/{topic}")
async def follow(topic: str, request: Request, count: int | None = None) -> StreamingResponse:
    """Streams a topic, its last ten messages first."""
    bus: arqonbus.Bus = request.app.state.bus

    async def events() -> AsyncIterator[str]:
        # A topic is joined once by a client: those who stream the same one would share its messages.
        left = count
        async with bus.join(topic, replay=10) as messages:
            async for message in messages:
                yield f"data: {message.raw}\n\n"
                left = left - 1 if left is not None else None
                if left == 0:
                    return

    return StreamingResponse(events(), media_type="text/event-stream")
