// Segments as the SDKs send them: a small shop whose requests sometimes fail, and the awkward traces the tests need.

/** A generator of numbers in 0..1 that gives the same ones for the same seed. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Ids and times for one run; `seed` makes them the same in every run, `now_s` moves them in time. */
export class Maker {
  constructor(seed) {
    this.random = random(seed);
  }

  hex(length) {
    let out = "";
    while (out.length < length) out += Math.floor(this.random() * 16).toString(16);
    return out;
  }

  id() {
    return this.hex(16);
  }

  traceId(start_s) {
    return `1-${Math.floor(start_s).toString(16).padStart(8, "0")}-${this.hex(24)}`;
  }

  between(low, high) {
    return low + this.random() * (high - low);
  }

  /** Mostly near `typical`, now and then several times that. */
  time(typical) {
    const slow = this.random() < 0.06 ? this.between(3, 9) : 1;
    return typical * (0.5 + this.random() * this.random() * 2) * slow;
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }
}

const PYTHON = { xray: { sdk: "X-Ray for Python", sdk_version: "2.15.0", sampling_rule_name: "Default" } };
const NODE = { xray: { sdk: "X-Ray for Node.js", sdk_version: "3.12.0", package: "aws-xray-sdk", rule_name: "Default" } };

const rounded = (seconds) => Math.round(seconds * 1e6) / 1e6;

function segment(make, trace_id, name, start, extra) {
  return { name, id: make.id(), trace_id, start_time: rounded(start), ...extra };
}

function sub(make, name, start, end, extra = {}) {
  return { id: make.id(), name, start_time: rounded(start), end_time: rounded(end), in_progress: false, ...extra };
}

/** One request to the shop that starts at `start`: its documents, root first. */
export function shopTrace(make, start) {
  const kind = make.random();
  if (kind < 0.45) return browse(make, start);
  if (kind < 0.65) return cart(make, start);
  return checkout(make, start);
}

function web(make, trace_id, start, method, path, extra) {
  return segment(make, trace_id, "shop-web", start, {
    origin: "AWS::ECS::Container",
    service: { version: "4.12.0", runtime: "CPython", runtime_version: "3.13.1" },
    aws: { ...PYTHON, ecs: { container: "shop-web-7c9f", task_family: "shop-web" } },
    http: { request: { method, url: `https://shop.example.com${path}`, client_ip: "203.0.113.7", user_agent: "Mozilla/5.0 (X11; Linux x86_64)" } },
    subsegments: [],
    ...extra,
  });
}

function finish(root, end, status) {
  root.end_time = rounded(end);
  if (status !== undefined) root.http.response = { status, content_length: 1200 + (status % 7) * 310 };
  if (status >= 500) root.fault = true;
  else if (status >= 400) root.error = true;
  if (status === 429) root.throttle = true;
}

function browse(make, start) {
  const trace_id = make.traceId(start);
  const product = 1000 + Math.floor(make.random() * 90);
  const root = web(make, trace_id, start, "GET", `/products/${product}`, { annotations: { product, cached: make.random() < 0.4 } });
  let at = start + make.time(0.003);
  const query = make.time(0.012);
  root.subsegments.push(
    sub(make, "catalog@db.internal", at, at + query, {
      namespace: "remote",
      sql: { url: "postgresql://db.internal:5432/catalog", sanitized_query: "SELECT id, title, price FROM products WHERE id = ?", database_type: "PostgreSQL", database_version: "16.4", user: "shop" },
    }),
  );
  at += query;
  const render = make.time(0.009);
  root.subsegments.push(sub(make, "render product.html", at, at + render, { namespace: "local" }));
  at += render + make.time(0.002);
  const missing = make.random() < 0.08;
  finish(root, at, missing ? 404 : 200);
  return [root];
}

function cart(make, start) {
  const trace_id = make.traceId(start);
  const root = web(make, trace_id, start, "PUT", "/cart/items", { user: make.pick(["alice", "bob", "carol"]) });
  const at = start + make.time(0.004);
  const took = make.time(0.014);
  const throttled = make.random() < 0.05;
  const call = sub(make, "DynamoDB", at, at + took, {
    namespace: "aws",
    aws: { operation: "UpdateItem", region: "eu-central-1", table_name: "carts", request_id: make.hex(32).toUpperCase(), retries: throttled ? 3 : 0 },
    http: { response: { status: throttled ? 400 : 200, content_length: 2 } },
  });
  if (throttled) {
    Object.assign(call, { error: true, throttle: true, cause: exception(make, "ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the table was exceeded.") });
  }
  root.subsegments.push(call);
  finish(root, at + took + make.time(0.003), throttled ? 429 : 200);
  return [root];
}

function checkout(make, start) {
  const trace_id = make.traceId(start);
  const customer = `c-${10 + Math.floor(make.random() * 30)}`;
  const root = web(make, trace_id, start, "POST", "/checkout", { user: make.pick(["alice", "bob", "carol", "dave"]), annotations: { customer, items: 1 + Math.floor(make.random() * 5) } });
  let at = start + make.time(0.005);
  const order = orderSegment(make, trace_id, at + make.time(0.002));
  const call = sub(make, "orders", at, order.end + make.time(0.002), {
    namespace: "remote",
    http: { request: { method: "POST", url: "http://orders.internal:8080/orders", traced: true }, response: { status: order.status } },
  });
  order.document.parent_id = call.id;
  if (order.status >= 500) call.fault = true;
  root.subsegments.push(call);
  at = call.end_time + make.time(0.004);
  finish(root, at, order.status >= 500 ? 502 : 200);
  root.metadata = { checkout: { currency: "EUR", lines: [{ sku: "A-17", quantity: 2 }, { sku: "B-3", quantity: 1 }], flags: { express: true, gift: null } } };
  return [root, order.document, ...order.more];
}

function orderSegment(make, trace_id, start) {
  const document = segment(make, trace_id, "orders", start, {
    origin: "AWS::ECS::Container",
    aws: { ...NODE },
    service: { version: "2.0.3" },
    http: { request: { method: "POST", url: "http://orders.internal:8080/orders", client_ip: "10.0.3.12" } },
    subsegments: [],
  });
  let at = start + make.time(0.002);
  const validated = sub(make, "validate", at, at + make.time(0.006), { namespace: "local" });
  document.subsegments.push(validated);
  at = validated.end_time;
  const pay = paymentSegment(make, trace_id, at + make.time(0.003));
  const call = sub(make, "payments", at, pay.end + make.time(0.002), {
    namespace: "remote",
    http: { request: { method: "POST", url: "http://payments.internal/charge", traced: true }, response: { status: pay.status } },
  });
  if (pay.status >= 500) call.fault = true;
  pay.document.parent_id = call.id;
  document.subsegments.push(call);
  at = call.end_time;
  if (pay.status < 500) {
    const put = sub(make, "DynamoDB", at, at + make.time(0.013), { namespace: "aws", aws: { operation: "PutItem", region: "eu-central-1", table_name: "orders", request_id: make.hex(32).toUpperCase() }, http: { response: { status: 200 } } });
    const send = sub(make, "SQS", put.end_time, put.end_time + make.time(0.009), { namespace: "aws", aws: { operation: "SendMessage", region: "eu-central-1", queue_url: "https://sqs.eu-central-1.example.com/123456789012/shipping" }, http: { response: { status: 200 } } });
    document.subsegments.push(put, send);
    at = send.end_time;
  }
  const end = at + make.time(0.002);
  finish(document, end, pay.status >= 500 ? 500 : 201);
  return { document, more: [pay.document], end, status: pay.status >= 500 ? 500 : 201 };
}

function paymentSegment(make, trace_id, start) {
  const failed = make.random() < 0.07;
  const document = segment(make, trace_id, "payments", start, {
    origin: "AWS::Lambda::Function",
    http: { request: { method: "POST", url: "http://payments.internal/charge" } },
    subsegments: [],
  });
  const at = start + make.time(0.004);
  const bank = sub(make, "api.bank.example", at, at + make.time(failed ? 0.4 : 0.08), {
    namespace: "remote",
    http: { request: { method: "POST", url: "https://api.bank.example/v2/charges" }, response: { status: failed ? 504 : 200 } },
  });
  if (failed) Object.assign(bank, { fault: true, cause: exception(make, "requests.exceptions.ReadTimeout", "HTTPSConnectionPool(host='api.bank.example', port=443): Read timed out. (read timeout=0.4)") });
  document.subsegments.push(bank);
  const end = bank.end_time + make.time(0.003);
  finish(document, end, failed ? 500 : 200);
  return { document, end, status: failed ? 500 : 200 };
}

export function exception(make, type, message) {
  return {
    working_directory: "/srv/app",
    exceptions: [
      {
        id: make.id(),
        type,
        message,
        remote: false,
        stack: [
          { path: "/srv/app/payments/bank.py", line: 87, label: "charge" },
          { path: "/srv/app/payments/handler.py", line: 41, label: "handle" },
          { path: "/usr/lib/python3.13/site-packages/requests/sessions.py", line: 703, label: "send" },
          { path: "/usr/lib/python3.13/site-packages/requests/adapters.py", line: 713, label: "send" },
        ],
      },
    ],
  };
}

/** One segment of `count` subsegments in groups, with known times: group g starts at g times 10 ms. */
export function wideTrace(make, start, count, groups = 20) {
  const trace_id = make.traceId(start);
  const per = Math.floor((count - 1 - groups) / groups);
  const root = segment(make, trace_id, "batch-import", start, { end_time: rounded(start + groups * 0.01), origin: "AWS::ECS::Container", subsegments: [] });
  for (let g = 0; g < groups; g += 1) {
    const from = start + g * 0.01;
    const group = sub(make, `chunk ${g}`, from, from + 0.01, { subsegments: [] });
    for (let n = 0; n < per; n += 1) {
      const at = from + (n * 0.01) / per;
      group.subsegments.push(sub(make, `row ${g}.${n}`, at, at + 0.008 / per));
    }
    root.subsegments.push(group);
  }
  const documents = [root];
  // A document is at most 64 kB: the groups travel as subsegments of their own, as SDKs stream them.
  for (const group of root.subsegments.splice(0)) documents.push({ ...group, type: "subsegment", trace_id, parent_id: root.id });
  return { trace_id, documents, count: 1 + groups * (1 + per), last: documents.at(-1).subsegments.at(-1).id };
}

/** Runs a script and asks for an address, if it is taken for markup anywhere. */
export const MARKUP = `<img src=x onerror="globalThis.pwned=1;alert(1)"><script>globalThis.pwned=1</script>`;

/** Markup and scripts wherever text can stand. Names keep to the characters that X-Ray allows. */
export function hostileTrace(make, start) {
  const trace_id = make.traceId(start);
  const bad = MARKUP;
  const root = segment(make, trace_id, "hostile", start, {
    end_time: rounded(start + 0.2),
    fault: true,
    user: `${bad}user`,
    origin: bad,
    http: { request: { method: `${bad}`, url: `javascript:alert(1)//${bad}`, user_agent: bad, client_ip: bad }, response: { status: 500, content_length: bad } },
    annotations: { key: bad, "<b>key</b>": "value" },
    metadata: { [`ns${bad}`]: { [bad]: bad, list: [bad, { deep: bad }], __proto__x: 1 } },
    aws: { operation: bad, [bad]: bad },
    service: { version: bad },
    cause: { working_directory: bad, exceptions: [{ id: make.id(), type: bad, message: bad, stack: [{ path: bad, line: 3, label: bad }, { path: bad, line: bad, label: bad }] }] },
    subsegments: [
      sub(make, "query", start + 0.05, start + 0.1, { namespace: "remote", sql: { url: `javascript:alert(2)`, sanitized_query: bad, database_type: bad } }),
      sub(make, "call", start + 0.1, start + 0.15, { namespace: "remote", http: { request: { method: "GET", url: "javascript:alert(3)" } } }),
    ],
  });
  return { trace_id, documents: [root] };
}

/** Five segments with times in round numbers, sent in the wrong order and in pieces: what the geometry is tested on. */
export function measuredTrace(make, start) {
  const trace_id = make.traceId(start);
  const root = segment(make, trace_id, "measured-web", start, { end_time: start + 1, http: { request: { method: "GET", url: "https://measured.example.com/report?size=10" }, response: { status: 500 } }, fault: true, annotations: { report: "weekly", size: 10 } });
  const first = { ...sub(make, "load", start + 0.1, start + 0.3), type: "subsegment", trace_id, parent_id: root.id };
  const call = { ...sub(make, "measured-api", start + 0.3, start + 0.9, { namespace: "remote", fault: true, http: { request: { method: "GET", url: "http://api.internal/rows" }, response: { status: 500 } } }), type: "subsegment", trace_id, parent_id: root.id };
  const api = segment(make, trace_id, "measured-api", start + 0.4, { end_time: start + 0.8, parent_id: call.id, fault: true, http: { request: { method: "GET", url: "http://api.internal/rows" }, response: { status: 500 } } });
  const query = {
    ...sub(make, "rows@db", start + 0.5, start + 0.7, { namespace: "remote", fault: true, sql: { url: "postgresql://db/rows", sanitized_query: "SELECT * FROM rows WHERE day = ?", database_type: "PostgreSQL" }, cause: exception(make, "psycopg.errors.QueryCanceled", "canceling statement due to statement timeout") }),
    type: "subsegment",
    trace_id,
    parent_id: api.id,
  };
  const offsets = { [root.id]: [0, 1], [first.id]: [0.1, 0.3], [call.id]: [0.3, 0.9], [api.id]: [0.4, 0.8], [query.id]: [0.5, 0.7] };
  const order = [root.id, first.id, call.id, api.id, query.id];
  return { trace_id, documents: [query, call, api, root, first], offsets, order, ids: { root: root.id, first: first.id, call: call.id, api: api.id, query: query.id } };
}

/** Requests through `count` services, "fleet-00" on: each calls two others, as a tree in which some branches meet. */
export function fleet(make, start, count) {
  const name = (n) => `fleet-${String(n).padStart(2, "0")}`;
  const trace_id = make.traceId(start);
  const documents = [];
  const calls = new Map(); // service to the calls of it
  for (let n = 0; n < count; n += 1) {
    const at = start + n / 1000;
    const below = [2 * n + 1, 2 * n + 2, ...(n % 9 === 4 ? [3 * n + 2] : [])].filter((other) => other < count);
    const subsegments = below.map((other) => {
      const call = sub(make, name(other), at + 0.0002, at + 0.4, { namespace: "remote", http: { request: { method: "GET", url: `http://${name(other)}/` }, response: { status: 200 } } });
      calls.set(other, [...(calls.get(other) ?? []), call]);
      return call;
    });
    const failed = n % 13 === 7;
    for (const call of calls.get(n) ?? [null]) {
      documents.push(segment(make, trace_id, name(n), at, { end_time: rounded(at + 0.3), ...(call && { parent_id: call.id }), fault: failed, http: { request: { method: "GET", url: `http://${name(n)}/` }, response: { status: failed ? 500 : 200 } }, subsegments: documents.some((one) => one.name === name(n)) ? [] : subsegments }));
    }
  }
  return documents;
}
