// The fields of an exchange that are listed whole, with what they are called and how they are written.
export const PARTS_SHOWN = [
  ["started_at", "began (UTC)"], ["service", "service"], ["comm", "command"], ["pid", "process"], ["tid", "thread"], ["cgroup", "cgroup"], ["role", "side"],
  ["protocol", "protocol"], ["method", "method"], ["target", "target"], ["route", "route"], ["host", "host"], ["status_code", "status"],
  ["outcome", "outcome"], ["elapsed_ms", "took", "ms"], ["connect_ms", "connect", "ms"], ["send_ms", "send", "ms"], ["wait_ms", "wait", "ms"],
  ["read_delay_ms", "read delay", "ms"], ["receive_ms", "receive", "ms"], ["bytes_sent", "sent", "bytes"], ["bytes_received", "received", "bytes"],
  ["srtt_us", "round trip (smoothed)", "us"], ["min_rtt_us", "round trip (least)", "us"], ["retransmits", "retransmits"], ["attempt", "attempt"],
  ["retry_reason", "retried because of"], ["trace_id", "trace ID"], ["trace_source", "from field"], ["span_id", "parent span"], ["request_id", "request ID"],
  ["idempotency_key", "idempotency key"], ["local_ip", "this end"], ["local_port", "its port"], ["peer_ip", "other end"], ["peer_port", "its port"],
  ["external_ip", "after NAT"], ["connection_id", "connection"], ["exchange_no", "n-th on it"], ["id", "ID"], ["seq", "sequence"],
];
