"""An agent built on a2a-sdk 1.x, for tests/e2e/a2a_client_spec.lua. It prints its URL when it listens.

    server_1.py BINDING    JSONRPC or HTTP+JSON: what its card names first

The first word of a message says what it does: see Words. server_03.py has the same for 0.3.
"""
import asyncio
import socket
import sys

import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette


def describe(parts):
    """What came, a word for each part."""
    words = []
    for part in parts:
        if part.HasField("text"):
            words.append(part.text)
        elif part.HasField("raw"):
            words.append(f"{part.filename}:{part.media_type}:{part.raw.decode()}")
        elif part.HasField("url"):
            words.append(f"{part.filename}:{part.media_type}:{part.url}")
        else:
            words.append(str(sorted(MessageToDict(part.data).items())))
    return " | ".join(words)


class Words(AgentExecutor):
    async def execute(self, context, queue):
        word = context.get_user_input().split(" ")[0]
        if word == "message":
            await queue.enqueue_event(new_text_message("a message"))
            return
        task = context.current_task
        if not task:
            task = new_task_from_user_message(context.message)
            await queue.enqueue_event(task)
            updater = TaskUpdater(queue, task.id, task.context_id)
            await getattr(self, word, self.echo)(context, updater)
        else:
            updater = TaskUpdater(queue, task.id, task.context_id)
            await self.finish(updater, "it is " + context.get_user_input())

    async def finish(self, updater, *texts):
        await updater.add_artifact([pb.Part(text=text) for text in texts], name="answer")
        await updater.complete()

    async def echo(self, context, updater):
        await self.finish(updater, describe(context.message.parts))

    async def ask(self, context, updater):
        await updater.requires_input(updater.new_agent_message([pb.Part(text="Which color?")]))

    async def pieces(self, context, updater):
        await updater.start_work(updater.new_agent_message([pb.Part(text="writing")]))
        for number, text in enumerate(("roses ", "are ", "red")):
            await updater.add_artifact([pb.Part(text=text)], artifact_id="poem", name="poem", append=number > 0,
                                       last_chunk=number == 2)
        await updater.complete()

    async def file(self, context, updater):
        await updater.add_artifact([pb.Part(raw=b"bytes\x00\xff", filename="a.bin", media_type="application/x-a")], name="file")
        await updater.complete()

    async def fail(self, context, updater):
        await updater.failed(updater.new_agent_message([pb.Part(text="it broke")]))

    async def slow(self, context, updater):
        await updater.start_work()
        await asyncio.Event().wait()

    async def cancel(self, context, queue):
        await TaskUpdater(queue, context.task_id, context.context_id).cancel()


def card_of(url, bindings):
    return pb.AgentCard(
        name="words", description="does what the first word says", version="1",
        supported_interfaces=[pb.AgentInterface(url=url, protocol_binding=binding, protocol_version="1.0")
                              for binding in bindings],
        capabilities=pb.AgentCapabilities(streaming=True), default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[pb.AgentSkill(id="words", name="words", description="words", tags=["test"])])


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    bindings = sorted(["JSONRPC", "HTTP+JSON"], key=lambda binding: binding != sys.argv[1])
    card = card_of(url, bindings)
    handler = DefaultRequestHandler(agent_executor=Words(), task_store=InMemoryTaskStore(), agent_card=card)
    routes = create_agent_card_routes(card) + create_jsonrpc_routes(handler, rpc_url="/") + create_rest_routes(handler)
    print(url, flush=True)
    uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
