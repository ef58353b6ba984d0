"""A client built on a2a-sdk 0.3, for tests/e2e/a2a_sdk_spec.lua: a line of JSON for each check, {"check": …, …}.

    client_03.py URL TOKEN WEBHOOK
"""
import asyncio
import json
import sys
import traceback
import uuid

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.auth import AuthInterceptor, InMemoryContextCredentialStore
from a2a.client.middleware import ClientCallContext
from a2a import types

url, token, webhook = sys.argv[1:4]


def say(check, **more):
    print(json.dumps({"check": check, **more}), flush=True)


def texts(parts):
    return "".join(part.root.text for part in parts)


def message(text, task_id=None):
    return types.Message(message_id=str(uuid.uuid4()), role=types.Role.user, task_id=task_id,
                         parts=[types.Part(root=types.TextPart(text=text))])


def word(task, update):
    """What an event says, as tests/support/served.lua has it."""
    if update is None:
        return task.status.state.value
    if isinstance(update, types.TaskStatusUpdateEvent):
        said = update.status.message
        return (update.status.state.value + " " + (texts(said.parts) if said else "")).strip()
    return ("+" if update.append else "") + (update.artifact.name or "reply") + " " + texts(update.artifact.parts)


class Checks:
    def __init__(self, http, card):
        credentials = InMemoryContextCredentialStore()
        self.context = ClientCallContext(state={"sessionId": "s"})
        self.ready = credentials.set_credentials("s", "bearer", token)

        def client(streaming, polling=False):
            config = ClientConfig(httpx_client=http, streaming=streaming, polling=polling)
            return ClientFactory(config).create(card, interceptors=[AuthInterceptor(credentials)])

        self.plain, self.streaming, self.polling = client(False), client(True), client(False, True)

    async def send(self, text, task_id=None, client=None, **more):
        async for event in (client or self.plain).send_message(message(text, task_id), context=self.context, **more):
            return event[0] if isinstance(event, tuple) else event

    async def check_send(self):
        task = await self.send("echo hello")
        say("send", state=task.status.state.value, text=texts(task.artifacts[0].parts))
        got = await self.plain.get_task(types.TaskQueryParams(id=task.id), context=self.context)
        say("get", same=got == task)
        answer = await self.send("message")
        say("message", text=texts(answer.parts))

    async def check_stream(self):
        words = []
        async for task, update in self.streaming.send_message(message("count"), context=self.context):
            words.append(word(task, update))
        say("stream", words=words)

    async def check_question(self):
        task = await self.send("ask")
        answered = await self.send("this", task_id=task.id)
        say("ask", before=task.status.state.value, after=answered.status.state.value,
            text=texts(answered.artifacts[0].parts))

    async def check_cancel(self):
        task = await self.send("ask")
        ended = await self.plain.cancel_task(types.TaskIdParams(id=task.id), context=self.context)
        say("cancel", state=ended.status.state.value)

    async def check_subscribe(self):
        task = await self.send("gate subscribe", client=self.polling)
        words = []
        async for event in self.streaming.resubscribe(types.TaskIdParams(id=task.id), context=self.context):
            if not words:
                say("subscribed", state=word(*event))
            words.append(word(*event))
        say("subscribe", last=words[-1])

    async def check_webhook(self):
        hook = types.PushNotificationConfig(url=webhook, token="t-1")
        task = await self.send("ask", configuration=types.MessageSendConfiguration(push_notification_config=hook))
        config = await self.plain.set_task_callback(
            types.TaskPushNotificationConfig(task_id=task.id, push_notification_config=types.PushNotificationConfig(
                id="second", url=webhook + "/second")), context=self.context)
        got = await self.plain.get_task_callback(types.GetTaskPushNotificationConfigParams(
            id=task.id, push_notification_config_id="second"), context=self.context)
        await self.send("yes", task_id=task.id)
        say("webhook", id=config.push_notification_config.id, url=got.push_notification_config.url, task=task.id)

    async def check_errors(self):
        for name, call in {
            "unknown": self.plain.get_task(types.TaskQueryParams(id="none"), context=self.context),
            "refused": self.plain.get_task(types.TaskQueryParams(id="none")),
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
        say("card", name=card.name, url=card.url)
        for name in dir(checks):
            if name.startswith("check_"):
                try:
                    await getattr(checks, name)()
                except Exception:
                    say(name, problem=traceback.format_exc())


asyncio.run(main())
