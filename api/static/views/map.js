export function ServiceMap() { return null; }
