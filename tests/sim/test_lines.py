"""Lines by hand: peeks, slow clients, hostile frames, and what every client may rely on beside them."""

import asyncio
import json
import os
import socket
import tempfile
import time
import unittest

from server import Server, Tape, client, cst

SYMBOL = "SHFE.cu2509"
PEEK = '{"aid":"peek_message"}'


def chart(width=200, name="c", **more):
    return json.dumps(
        {"aid": "set_chart", "chart_id": name, "ins_list": SYMBOL, "duration": 0, "view_width": width, **more}
    )


async def data(line, seconds=10):
    """Patches of the next transaction that is asked for."""
    await line.send(PEEK)
    return json.loads(await asyncio.wait_for(line.recv(), seconds))["data"]


def merge(document, patch):
    for key, value in patch.items():
        if value is None:
            document.pop(key, None)
        elif isinstance(value, dict):
            merge(document.setdefault(key, {}), value)
        else:
            document[key] = value
    return document


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.tape = Tape()
        cls.tape.run("2025-07-18 09:00:00.5", 9000)
        cls.file = cls.tape.write(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def serve(self, *flags):
        return Server("--data", self.file, *flags)


class Patient(Case):
    def test_a_minute(self):
        """DS-06, DS-07: idle lines stay, pings are answered; without a peek for a minute one frame brings it all."""
        import websockets

        async def run(md):
            open_ = lambda **more: websockets.connect(md, max_size=None, **more)
            # The client's own habit: a ping every 20 s, 20 s for the answer. Here faster, so that more of them count.
            async with open_(ping_interval=5, ping_timeout=5) as idle, open_() as late, open_() as quick:
                await data(idle)
                for line in (late, quick):
                    await line.send('{"aid":"subscribe_quote","ins_list":"%s,"}' % SYMBOL)
                    await line.send(chart())
                    document = {}
                    while not document.get("charts", {}).get("c", {}).get("ready"):
                        for patch in await data(line):
                            merge(document, patch)
                    self.assertEqual(document["ins_list"], SYMBOL + ",")
                    line.last = document["ticks"][SYMBOL]["last_id"]
                end, frames = time.monotonic() + 60, 0
                while time.monotonic() < end:
                    frames += len(await data(quick)) > 0
                # Nothing came to the one that did not ask.
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(late.recv(), 0.2)
                # Peeks do not add up: several before the answer are one.
                for _ in range(3):
                    await late.send(PEEK)
                document = {}
                for patch in json.loads(await late.recv())["data"]:
                    merge(document, patch)
                serial = document["ticks"][SYMBOL]
                ids = sorted(map(int, serial["data"]))
                self.assertEqual(ids, list(range(late.last + 1, serial["last_id"] + 1)))
                self.assertGreater(len(ids), 500)
                self.assertEqual(document["charts"]["c"]["right_id"], serial["last_id"])
                last = serial["data"][str(ids[-1])]
                self.assertEqual(cst(document["quotes"][SYMBOL]["datetime"]), last["datetime"])
                # The quick one had a frame a tick.
                self.assertGreater(frames, 300)
                await asyncio.wait_for(await idle.ping(), 5)
                self.assertTrue((await data(late)) is not None)

        with self.serve("--speed", 10) as server:
            asyncio.run(run(server.url["md"]))


class Hostile(Case):
    def test_bad_frames_close_their_line_only(self):
        """DS-32: what cannot be read closes the line it came on, with a reason; the others go on."""
        import websockets

        deep = "[" * 100_000
        order = {"aid": "insert_order", "user_id": "u", "order_id": "o", "exchange_id": "SHFE"}
        frames = {
            "md": [
                ("{", 1007), ("[]", 1007), ("3", 1007), ("{}", 1007), ('{"aid":3}', 1007), (deep, 1007), (b"\x00\x01", 1003),
                ("x" * (3 << 20), 1009),
                ('{"aid":"subscribe_quote"}', 1008), ('{"aid":"subscribe_quote","ins_list":[]}', 1008),
                ('{"aid":"set_chart"}', 1008), (chart(0), 1008), (chart(10_001), 1008), (chart("wide"), 1008),
                (chart(duration=-1), 1008), (chart(duration=1), 1008), (chart(left_kline_id="x"), 1008),
                (chart(ins_list="a,b"), 1008), (chart(ins_list=",".join("abcdefghijklmnopqrstu"), duration=60 * 10**9), 1008),
                ('{"aid":"ins_query"}', 1008), ('{"aid":"ins_query","query_id":"q"}', 1008),
            ],
            "td": [
                ("nonsense", 1007), (b"\xff", 1003),
                (json.dumps(order), 1008), ('{"aid":"cancel_order","user_id":"u","order_id":"o"}', 1008),
                ('{"aid":"req_login"}', 1008), ('{"aid":"req_login","user_name":3}', 1008),
                ('{"aid":"req_login","user_name":"%s"}' % ("u" * 300), 1008), ('{"aid":"req_transfer","amount":1}', 1008),
            ],
        }
        logged_in = [
            {**order, "volume": "many"}, {**order, "volume": 1.5}, {**order, "order_id": "a=b", "volume": 1},
            {**order, "volume": 1, "limit_price": "x"}, {**order, "volume": 1}, {"aid": "req_login", "user_name": "other"},
        ]

        async def run(url):
            async with websockets.connect(url["md"], max_size=None) as good:
                await good.send('{"aid":"subscribe_quote","ins_list":"%s"}' % SYMBOL)
                await data(good)
                for kind, list_ in frames.items():
                    for frame, code in list_:
                        await self.closed(url[kind], [frame], code)
                for frame in logged_in:
                    login = '{"aid":"req_login","bid":"sim","user_name":"u","password":""}'
                    await self.closed(url["td"], [login, json.dumps(frame)], 1008)
                # Unknown requests and unknown fields are no reason to lose anybody; nor is a query that makes no sense.
                async with websockets.connect(url["md"]) as line:
                    await line.send('{"aid":"magic","x":1}')
                    await line.send('{"aid":"ins_query","query_id":"q","query":"{nothing}","more":[1]}')
                    answer = {}
                    for patch in await data(line):
                        merge(answer, patch)
                    self.assertIn("error", answer["symbols"]["q"])
                    # More answers than anybody takes.
                    with self.assertRaises(websockets.ConnectionClosed):
                        query = json.dumps({"aid": "ins_query", "query_id": "q" * 1000, "query": "x" * 900_000})
                        for _ in range(200):
                            await line.send(query)
                        await asyncio.wait_for(line.recv(), 10)
                self.raw(url["md"])
                # All the while the good one is served.
                self.assertTrue(any("quotes" in patch for patch in await data(good)))

        with self.serve("--speed", 5) as server:
            asyncio.run(run(server.url))
            with client() as api:
                self.assertEqual(api.get_quote(SYMBOL).last_price, 80000)

    async def closed(self, url, frames, code):
        import websockets

        async with websockets.connect(url, max_size=None) as line:
            with self.assertRaises(websockets.ConnectionClosed) as closed:
                for frame in frames:
                    await line.send(frame)
                while True:
                    await asyncio.wait_for(line.recv(), 10)
            got = closed.exception.rcvd
            self.assertIsNotNone(got, (frames[-1][:60], code))
            self.assertEqual(got.code, code, (frames[-1][:60], got.reason))

    def raw(self, url):
        """Bytes that are no frames, a handshake that never ends, a head that is none: each costs its own line only."""
        host, port = url.split("/")[2].split(":")
        shake = (
            "GET /md HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ).encode()
        for sent in (shake + b"\xff" * 64, shake + b"\x81\x05hello", b"\x00" * 64, b"GET /md HTTP/1.1\r\n\r\n"):
            with socket.create_connection((host, int(port)), 10) as line:
                line.sendall(sent)
                line.settimeout(15)
                try:
                    while line.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
        lazy = socket.create_connection((host, int(port)), 10)
        lazy.sendall(b"GET /md HTT")
        lazy.close()

    def test_one_that_reads_nothing(self):
        """DS-07: a client that asks for everything and reads nothing holds up nobody, and costs no queue."""
        import websockets

        async def run(md):
            deaf = await asyncio.open_connection(*md.split("/")[2].split(":"), limit=2**12)
            shake = (
                "GET /md HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            mask = lambda text: bytes([0x81, 0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text.encode()
            deaf[1].write(shake.encode())
            for n in range(50):
                deaf[1].write(mask(chart(10_000, f"c{n}")) + mask(PEEK))
            await deaf[1].drain()
            async with websockets.connect(md, max_size=None) as line:
                await line.send('{"aid":"subscribe_quote","ins_list":"%s"}' % SYMBOL)
                seen = set()
                while len(seen) < 100:
                    for patch in await data(line):
                        seen.add(patch.get("quotes", {}).get(SYMBOL, {}).get("datetime"))
            deaf[1].close()

        with self.serve("--speed", 50) as server:
            asyncio.run(run(server.url["md"]))
            with open(f"/proc/{server.process.pid}/status") as status:
                resident = next(int(l.split()[1]) for l in status if l.startswith("VmRSS"))
            self.assertLess(resident, 300_000)


class OtherPrograms(Case):
    def test_money_and_settlement(self):
        """What other DIFF programs ask: money in and out, and the settlement as a notice."""
        import websockets

        async def run(td):
            async with websockets.connect(td) as line:
                document = {}

                async def ask(**frame):
                    await line.send(json.dumps(frame))
                    for patch in await data(line):
                        merge(document, patch)
                    return [n for n in document.pop("notify", {}).values()]

                self.assertEqual(json.loads(await line.recv())["aid"], "rtn_brokers")
                said = await ask(aid="req_login", bid="sim", user_name="u", password="")
                self.assertEqual([n["code"] for n in said], [401])
                own = document["trade"]["u"]
                self.assertEqual((own["trade_more_data"], own["trading_day"]), (False, "20250718"))
                await ask(aid="req_transfer", amount=250_000.5, currency="CNY")
                money = own["accounts"]["CNY"]
                self.assertEqual((money["deposit"], money["static_balance"]), (250_000.5, 1_250_000.5))
                await ask(aid="req_transfer", amount=-50_000, currency="CNY")
                self.assertEqual((money["withdraw"], money["available"]), (50_000, 1_200_000.5))
                said = await ask(aid="req_transfer", amount=-2_000_000, currency="CNY")
                self.assertEqual(([n["code"] for n in said], money["balance"]), ([413], 1_200_000.5))
                self.assertEqual(sorted(t["error_id"] for t in own["transfers"].values()), [0, 0, 1])
                said = await ask(aid="qry_settlement_info", trading_day=20250717)
                self.assertEqual([(n["type"], n["code"]) for n in said], [("SETTLEMENT", 325)])

        with self.serve("--speed", 0) as server:
            asyncio.run(run(server.url["td"]))


class Equal(Case):
    def trades(self, seed):
        """What a client that acts on every tick trades, with a market that waits for it."""
        from tqsdk import TqKq

        with Server("--synthetic", seed, "--days", 1, "--rows-per-day", 1000, "--speed", "max") as server:
            with client(TqKq()) as api:
                symbol = api.query_cont_quotes()[0]
                quote, position = api.get_quote(symbol), api.get_position(symbol)
                orders, ticks = [], 0
                while ticks < 150:
                    api.wait_update()
                    if not api.is_changing(quote, "datetime"):
                        continue
                    ticks += 1
                    if ticks % 5 == 0 and position.pos < 3:
                        orders.append(api.insert_order(symbol, "BUY", "OPEN", 1, limit_price=quote.ask_price1))
                    elif ticks % 7 == 0 and position.pos_long_today > 0:
                        orders.append(api.insert_order(symbol, "SELL", "CLOSETODAY", 1, limit_price=quote.bid_price1))
                    elif ticks % 11 == 0:
                        for order in orders:
                            if order.status == "ALIVE":
                                api.cancel_order(order)
                trades = api.get_trade().values()
                return sorted((t.trade_date_time, t.direction, t.offset, t.price, t.volume) for t in trades)

    def test_two_runs(self):
        """DS-33: at full speed two runs trade the same."""
        first, second = self.trades(5), self.trades(5)
        self.assertGreater(len(first), 10)
        self.assertEqual(first, second)

    def test_a_stalled_client_is_left_behind(self):
        """At full speed the market waits for a client that stalls, but not for ever."""
        import websockets

        async def run(md):
            async with websockets.connect(md) as stalled, websockets.connect(md) as line:
                await stalled.send('{"aid":"subscribe_quote","ins_list":"%s"}' % SYMBOL)
                await data(stalled)
                await line.send('{"aid":"subscribe_quote","ins_list":"%s"}' % SYMBOL)
                for _ in range(50):
                    await data(line)

        with self.serve("--speed", "max", "--patience", 1) as server:
            asyncio.run(run(server.url["md"]))


if __name__ == "__main__":
    unittest.main()
