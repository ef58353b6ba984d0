"""An echo agent on a2a-sdk, for the benchmark. It prints its URL when it listens."""
import socket

import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2 as pb
from starlette.applications import Starlette


class Echo(AgentExecutor):
    async def execute(self, context, queue):
        task = new_task_from_user_message(context.message)
        await queue.enqueue_event(task)
        updater = TaskUpdater(queue, task.id, task.context_id)
        await updater.add_artifact([pb.Part(text="echo: " + context.get_user_input())], name="answer")
        await updater.complete()

    async def cancel(self, context, queue):
        pass


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    card = pb.AgentCard(name="echo", description="echoes", version="1", capabilities=pb.AgentCapabilities(streaming=True))
    handler = DefaultRequestHandler(agent_executor=Echo(), task_store=InMemoryTaskStore(), agent_card=card)
    print("http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    routes = create_jsonrpc_routes(handler, rpc_url="/")
    uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
