"""Work groups: each message is one member's job until it is settled."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import arqonbus
from arqonbus import sync
from arqonbus.errors import NotHeld
from arqonbus.testing import Server
from conftest import until
from test_recovery import Proxy


@pytest.fixture(scope="module")
def impatient_server() -> Generator[Server, None, None]:
    """A server whose jobs come back after a second."""
    with Server("--set", "groups.ack_timeout_ms=1000") as server:
        yield server


@pytest.fixture(scope="module")
def strict_server() -> Generator[Server, None, None]:
    """A server whose jobs are dead after three times."""
    with Server("--set", "groups.deliveries_max=3") as server:
        yield server


@asynccontextmanager
async def workers(url: str, topic: str, count: int, **options: Any) -> AsyncGenerator[list[arqonbus.Jobs], None]:
    """Members of one group, each on a connection of its own."""
    buses = [await arqonbus.connect(url, name=f"worker {number}", backoff=(0.01, 0.05)) for number in range(count)]
    try:
        yield [await bus.join(topic, group="workers", **options) for bus in buses]
    finally:
        for bus in buses:
            await bus.aclose()


async def test_each_message_is_one_members_job(arqonbus_server: Server, room: str, loop_kind: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus, bus.join(f"{room}:new") as everybody:
        async with workers(arqonbus_server.url, f"{room}:new", 3) as members:
            done: list[tuple[int, int]] = []

            async def work(number: int, jobs: arqonbus.Jobs) -> None:
                async for job in jobs:
                    assert job.delivery == 1
                    done.append((number, job.payload))
                    await job.ack()

            working = [asyncio.ensure_future(work(number, jobs)) for number, jobs in enumerate(members)]
            await asyncio.gather(*(bus.publish(f"{room}:new", number) for number in range(300)))
            await until(lambda: len(done) == 300, "the work")
            assert sorted(payload for _, payload in done) == list(range(300))
            assert {number for number, _ in done} == {0, 1, 2}
            assert [(await anext(everybody)).payload for _ in range(300)] == list(range(300))
            info = await bus.channel_info(f"{room}:new")
            assert [(group["group"], group["members"], group["lag"]) for group in info.get("groups", [])] == [("workers", 3, 0)]
            for task in working:
                task.cancel()


async def test_a_job_has_its_message(arqonbus_server: Server, room: str) -> None:
    async with (
        workers(arqonbus_server.url, f"{room}:new", 1, max_in_flight=2) as (jobs,),
        arqonbus.connect(arqonbus_server.url) as bus,
    ):
        assert (jobs.topic, jobs.group) == (f"{room}:new", "workers")
        state = jobs.state
        assert (state["group"], state["created"], state["pending"], state["max_in_flight"]) == ("workers", True, 0, 2)
        ack = await bus.publish(f"{room}:new", {"n": 1}, headers={"a": "b"})
        job = await anext(jobs)
        assert (job.message.position, job.message.headers, job.message.sender) == (ack.position, {"a": "b"}, bus.client_id)
        assert (job.payload, job.payload_as(dict[str, int]), job.delivery) == ({"n": 1}, {"n": 1}, 1)
        assert ack.position is not None
        assert jobs.start == arqonbus.Position(ack.position.epoch, 0)
        await job.ack()
        with pytest.raises(NotHeld) as again:
            await job.ack()
        assert (again.value.code, again.value.retry) == ("not_held", "never")


async def test_what_is_given_back_comes_again(arqonbus_server: Server, room: str) -> None:
    async with workers(arqonbus_server.url, f"{room}:new", 1) as (jobs,), arqonbus.connect(arqonbus_server.url) as bus:
        await bus.publish(f"{room}:new", 1)
        await (await anext(jobs)).nack(reason="not now")
        job = await anext(jobs)
        assert (job.payload, job.delivery) == (1, 2)
        with pytest.raises(arqonbus.Invalid):
            await job.nack(delay=1, dead=True)
        async with bus.join(f"{room}:new.dead") as dead:
            await job.nack(dead=True, reason="x" * 1_000)
            letter = await anext(dead)
        assert (letter.payload, letter.headers["dead-reason"], letter.headers["dead-deliveries"]) == (1, "x" * 256, "2")
        await bus.publish(f"{room}:new", 2)
        assert (await anext(jobs)).payload == 2


async def test_a_block_settles_its_job_by_how_it_ends(strict_server: Server, room: str) -> None:
    async with workers(strict_server.url, f"{room}:new", 1) as (jobs,), arqonbus.connect(strict_server.url) as bus:
        async with bus.join(f"{room}:new.dead") as dead:
            await bus.publish(f"{room}:new", "fails")
            await bus.publish(f"{room}:new", "works")
            seen: list[tuple[str, int]] = []

            async def work() -> None:
                async for job in jobs:
                    seen.append((job.payload, job.delivery))
                    with contextlib.suppress(ValueError):
                        async with job:
                            if job.payload == "fails":
                                raise ValueError("no good")

            working = asyncio.ensure_future(work())
            letter = await anext(dead)
            assert (letter.payload, letter.headers["dead-reason"]) == ("fails", "ValueError('no good')")
            working.cancel()
        assert sorted(seen) == [("fails", 1), ("fails", 2), ("fails", 3), ("works", 1)]
        await until_async(lambda: pending(bus, f"{room}:new"), 0)


async def pending(bus: arqonbus.Bus, topic: str) -> int:
    (group,) = (await bus.channel_info(topic)).get("groups", [])
    return group["pending"]


async def until_async(ask: Any, wanted: object) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while (found := await ask()) != wanted:
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.01)


async def test_a_cancelled_worker_gives_its_job_back(arqonbus_server: Server, room: str) -> None:
    async with workers(arqonbus_server.url, f"{room}:new", 2, max_in_flight=1) as (first, second):
        async with arqonbus.connect(arqonbus_server.url) as bus:
            started = asyncio.Event()

            async def work() -> None:
                async for job in first:
                    async with job:
                        started.set()
                        await asyncio.sleep(60)

            working = asyncio.ensure_future(work())
            other = asyncio.ensure_future(anext(second))
            await bus.publish(f"{room}:new", 1)
            await bus.publish(f"{room}:new", 2)
            job = await other
            await started.wait()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            first.leave()
            await job.ack()
            again = await anext(second)
            # It may have come to the first once more, before that left.
            assert again.delivery in (2, 3)
            assert {job.payload, again.payload} == {1, 2}


async def test_what_is_not_settled_in_time_goes_to_another(impatient_server: Server, room: str) -> None:
    async with workers(impatient_server.url, f"{room}:new", 2, max_in_flight=1) as members:
        async with arqonbus.connect(impatient_server.url) as bus:
            waiting = [asyncio.ensure_future(anext(jobs)) for jobs in members]
            await bus.publish(f"{room}:new", 1)
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            forgotten = done.pop().result()
            others = [future for future in waiting if not future.done()] + [
                asyncio.ensure_future(anext(jobs)) for jobs, future in zip(members, waiting, strict=True) if future.done()
            ]
            done, left = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
            again = done.pop().result()
            assert (again.payload, again.delivery) == (1, 2)
            with pytest.raises(NotHeld):
                await forgotten.ack()
            await again.ack()
            for future in left:
                future.cancel()


async def test_a_member_holds_no_more_than_it_asked_for(arqonbus_server: Server, room: str) -> None:
    async with (
        workers(arqonbus_server.url, f"{room}:new", 1, max_in_flight=3) as (jobs,),
        arqonbus.connect(arqonbus_server.url) as bus,
    ):
        await asyncio.gather(*(bus.publish(f"{room}:new", number) for number in range(10)))
        held = [await anext(jobs) for _ in range(3)]
        more = asyncio.ensure_future(anext(jobs))
        assert await pending(bus, f"{room}:new") == 3
        assert not more.done()
        await held[0].ack()
        assert (await more).payload == 3


async def test_a_lost_connection_takes_the_jobs_and_says_so(
    arqonbus_server: Server, room: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Proxy(arqonbus_server.url) as proxy, workers(proxy.url, f"{room}:new", 1, max_in_flight=2) as (jobs,):
        async with arqonbus.connect(arqonbus_server.url) as bus:
            for number in range(2):
                await bus.publish(f"{room}:new", number)
            held = [await anext(jobs) for _ in range(2)]
            items = jobs.items()
            proxy.cut()
            match await anext(items):
                case arqonbus.Lost(count):
                    assert count == 2
                case item:
                    pytest.fail(f"{item}")
            with pytest.raises(NotHeld):
                await held[0].ack()
            again = [await anext(jobs) for _ in range(2)]
            assert [(job.payload, job.delivery) for job in again] == [(0, 2), (1, 2)]
            lost: list[int] = []
            jobs.on_lost(lambda told: lost.append(told.count))
            await again[0].ack()
            proxy.cut()
            assert ((await anext(jobs)).payload, lost) == (1, [1])


async def test_a_server_that_died_took_the_group_with_it(
    arqonbus_fresh_server: Server, room: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = arqonbus_fresh_server
    async with workers(server.url, f"{room}:new", 1) as (jobs,), arqonbus.connect(server.url, backoff=(0.01, 0.05)) as bus:
        await bus.publish(f"{room}:new", "before")
        await (await anext(jobs)).ack()
        server.kill()
        server.start()
        with caplog.at_level(logging.WARNING, "arqonbus"):
            await bus.publish(f"{room}:new", "after")
            assert (await anext(jobs)).payload == "after"
        assert "epoch_changed" in caplog.text


async def test_what_cannot_be_joined(arqonbus_server: Server, room: str) -> None:
    async with arqonbus.connect(arqonbus_server.url) as bus:
        for topic, group, most in ((f"{room}:*", "g", 1), (f"{room}:a", "_g", 1), (f"{room}:a", "", 1), (f"{room}:a", "g", 0)):
            with pytest.raises((arqonbus.Invalid, arqonbus.Rejected)):
                await bus.join(topic, group=group, max_in_flight=most)
        async with bus.join(f"{room}:a", group="g"), bus.join(f"{room}:a"):
            with pytest.raises(arqonbus.Invalid):
                await bus.join(f"{room}:a", group="g")


def test_jobs_without_asyncio(strict_server: Server, room: str) -> None:
    with sync.connect(strict_server.url) as bus:
        jobs = bus.join(f"{room}:new", group="workers", max_in_flight=4)
        assert (jobs.topic, jobs.group, jobs.state["max_in_flight"], jobs.start.seq) == (f"{room}:new", "workers", 4, 0)
        with jobs:
            for number in range(4):
                bus.publish(f"{room}:new", {"n": number})
            for job in jobs:
                with job:
                    pass
                if job.payload["n"] == 1:
                    break
            jobs.get(timeout=10).ack()
            jobs.get(timeout=10).nack(reason="later")
            job = jobs.get(timeout=10)
            assert (job.payload_as(dict[str, int]), job.delivery, job.message.topic) == ({"n": 3}, 2, f"{room}:new")
            with pytest.raises(ZeroDivisionError), job:
                raise ZeroDivisionError
            item = next(jobs.items())
            assert isinstance(item, sync.Job)
            assert item.delivery == 3
            item.nack(dead=True)
            with pytest.raises(NotHeld):
                item.ack()
        # The letter is stored after the answer.
        deadline = time.monotonic() + 20
        while bus.channel_info(f"{room}:new")["groups"][0]["pending"]:  # pyright: ignore[reportTypedDictNotRequiredAccess]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        dead = [message.payload for message in bus.history(f"{room}:new.dead")]
        assert dead == [{"n": 3}]
