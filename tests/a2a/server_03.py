"""An agent built on a2a-sdk 0.3, for tests/e2e/a2a_client_spec.lua. It prints its URL when it listens.

The first word of a message says what it does: see Words. server_1.py has the same for 1.0.
"""
import asyncio
import base64
import socket

import uvicorn
from a2a.server.agent_execution import AgentExecutor
from a2a.server.apps import A2AStarletteApplication
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import (AgentCapabilities, AgentCard, AgentSkill, FilePart, FileWithBytes, Part, TextPart)
from a2a.utils import new_agent_text_message, new_task


def text_part(text):
    return Part(root=TextPart(text=text))


def describe(parts):
    """What came, a word for each part."""
    words = []
    for part in parts:
        root = part.root
        if root.kind == "text":
            words.append(root.text)
        elif root.kind == "data":
            words.append(str(sorted(root.data.items())))
        elif hasattr(root.file, "bytes"):
            words.append(f"{root.file.name}:{root.file.mime_type}:{base64.b64decode(root.file.bytes).decode()}")
        else:
            words.append(f"{root.file.name}:{root.file.mime_type}:{root.file.uri}")
    return " | ".join(words)


class Words(AgentExecutor):
    async def execute(self, context, queue):
        word = context.get_user_input().split(" ")[0]
        if word == "message":
            await queue.enqueue_event(new_agent_text_message("a message"))
            return
        task = context.current_task
        if not task:
            task = new_task(context.message)
            await queue.enqueue_event(task)
            updater = TaskUpdater(queue, task.id, task.context_id)
            await getattr(self, word, self.echo)(context, updater)
        else:
            updater = TaskUpdater(queue, task.id, task.context_id)
            await self.finish(updater, "it is " + context.get_user_input())

    async def finish(self, updater, *texts):
        await updater.add_artifact([text_part(text) for text in texts], name="answer")
        await updater.complete()

    async def echo(self, context, updater):
        await self.finish(updater, describe(context.message.parts))

    async def ask(self, context, updater):
        await updater.requires_input(updater.new_agent_message([text_part("Which color?")]), final=True)

    async def pieces(self, context, updater):
        await updater.start_work(updater.new_agent_message([text_part("writing")]))
        for number, text in enumerate(("roses ", "are ", "red")):
            await updater.add_artifact([text_part(text)], artifact_id="poem", name="poem", append=number > 0,
                                       last_chunk=number == 2)
        await updater.complete()

    async def file(self, context, updater):
        content = FileWithBytes(bytes=base64.b64encode(b"bytes\x00\xff").decode(), name="a.bin", mime_type="application/x-a")
        await updater.add_artifact([Part(root=FilePart(file=content))], name="file")
        await updater.complete()

    async def fail(self, context, updater):
        await updater.failed(updater.new_agent_message([text_part("it broke")]))

    async def slow(self, context, updater):
        await updater.start_work()
        await asyncio.Event().wait()

    async def cancel(self, context, queue):
        await TaskUpdater(queue, context.task_id, context.context_id).cancel()


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    card = AgentCard(
        name="words", description="does what the first word says", version="1", url=url,
        capabilities=AgentCapabilities(streaming=True), default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="words", name="words", description="words", tags=["test"])])
    handler = DefaultRequestHandler(agent_executor=Words(), task_store=InMemoryTaskStore())
    app = A2AStarletteApplication(agent_card=card, http_handler=handler).build()
    print(url, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
