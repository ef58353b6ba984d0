"""A client built on a2a-sdk 1.x, for tests/e2e/a2a_sdk_spec.lua: a line of JSON for each check, {"check": …, …}.

    client_1.py URL TOKEN WEBHOOK BINDING    BINDING: JSONRPC or HTTP+JSON
"""
import asyncio
import json
import sys
import traceback
import uuid

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.auth import AuthInterceptor, InMemoryContextCredentialStore
from a2a.client.client import ClientCallContext
from a2a.types import a2a_pb2 as pb

url, token, webhook, binding = sys.argv[1:5]
STATES = pb.TaskState.DESCRIPTOR.values_by_number


def say(check, **more):
    print(json.dumps({"check": check, **more}), flush=True)


def state(status):
    return STATES[status.state].name


def texts(parts):
    return "".join(part.text for part in parts)


def request(text, task_id=None, at_once=False, hook=None):
    message = pb.Message(message_id=str(uuid.uuid4()), role=pb.ROLE_USER, parts=[pb.Part(text=text)])
    if task_id:
        message.task_id = task_id
    asked = pb.SendMessageRequest(message=message)
    asked.configuration.return_immediately = at_once
    if hook:
        asked.configuration.task_push_notification_config.CopyFrom(pb.TaskPushNotificationConfig(url=hook, token="t-1"))
    return asked


def word(event):
    """An event in a word, as tests/support/served.lua has it."""
    kind = event.WhichOneof("payload")
    if kind == "task":
        return state(event.task.status)
    if kind == "message":
        return "message " + texts(event.message.parts)
    if kind == "status_update":
        status = event.status_update.status
        return (state(status) + " " + texts(status.message.parts)).strip()
    update = event.artifact_update
    return ("+" if update.append else "") + (update.artifact.name or "reply") + " " + texts(update.artifact.parts)


class Checks:
    def __init__(self, http, card):
        credentials = InMemoryContextCredentialStore()
        self.context = ClientCallContext(state={"sessionId": "s"})
        self.ready = credentials.set_credentials("s", "bearer", token)

        def client(streaming):
            config = ClientConfig(httpx_client=http, streaming=streaming, supported_protocol_bindings=[binding],
                                  use_client_preference=True)
            return ClientFactory(config).create(card, interceptors=[AuthInterceptor(credentials)])

        self.plain, self.streaming = client(False), client(True)

    async def send(self, *args, **more):
        async for event in self.plain.send_message(request(*args, **more), context=self.context):
            return event

    async def check_send(self):
        event = await self.send("echo hello")
        say("send", state=state(event.task.status), text=texts(event.task.artifacts[0].parts))
        got = await self.plain.get_task(pb.GetTaskRequest(id=event.task.id), context=self.context)
        say("get", same=got == event.task)
        event = await self.send("message")
        say("message", text=texts(event.message.parts))

    async def check_stream(self):
        words = []
        async for event in self.streaming.send_message(request("count"), context=self.context):
            words.append(word(event))
        say("stream", words=words)

    async def check_question(self):
        task = (await self.send("ask")).task
        answered = (await self.send("this", task_id=task.id)).task
        say("ask", before=state(task.status), after=state(answered.status), text=texts(answered.artifacts[0].parts))

    async def check_cancel(self):
        task = (await self.send("ask")).task
        ended = await self.plain.cancel_task(pb.CancelTaskRequest(id=task.id), context=self.context)
        say("cancel", state=state(ended.status))

    async def check_subscribe(self):
        task = (await self.send("gate subscribe", at_once=True)).task
        words = []
        async for event in self.streaming.subscribe(pb.SubscribeToTaskRequest(id=task.id), context=self.context):
            if not words:
                say("subscribed", state=word(event))
            words.append(word(event))
        say("subscribe", last=words[-1])

    async def check_list(self):
        found = await self.plain.list_tasks(pb.ListTasksRequest(page_size=2), context=self.context)
        say("list", count=len(found.tasks), total=found.total_size, more=found.next_page_token != "")

    async def check_webhook(self):
        task = (await self.send("ask", hook=webhook)).task
        config = await self.plain.create_task_push_notification_config(
            pb.TaskPushNotificationConfig(task_id=task.id, id="second", url=webhook + "/second"), context=self.context)
        listed = await self.plain.list_task_push_notification_configs(
            pb.ListTaskPushNotificationConfigsRequest(task_id=task.id), context=self.context)
        got = await self.plain.get_task_push_notification_config(
            pb.GetTaskPushNotificationConfigRequest(task_id=task.id, id="second"), context=self.context)
        await self.plain.delete_task_push_notification_config(
            pb.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="second"), context=self.context)
        await self.send("yes", task_id=task.id)
        say("webhook", id=config.id, count=len(listed.configs), url=got.url, task=task.id)

    async def check_errors(self):
        for name, call in {
            "unknown": self.plain.get_task(pb.GetTaskRequest(id="none"), context=self.context),
            "refused": self.plain.get_task(pb.GetTaskRequest(id="none")),
        }.items():
            try:
                await call
                say(name, error=None)
            except Exception as error:  # which one it is, is what is checked
                say(name, error=type(error).__name__, text=str(error))


async def main():
    async with httpx.AsyncClient(timeout=120) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        checks = Checks(http, card)
        await checks.ready
        say("card", name=card.name, interfaces=len(card.supported_interfaces))
        for name in dir(checks):
            if name.startswith("check_"):
                try:
                    await getattr(checks, name)()
                except Exception:
                    say(name, problem=traceback.format_exc())


asyncio.run(main())
