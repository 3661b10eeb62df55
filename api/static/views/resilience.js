export function Resilience() { return null; }
