// Runs named checks against a server and prints the lines that tests/run.py counts.
import assert from 'node:assert/strict';

export const url = process.argv[2];
export { assert };

let failures = 0;

export async function check(name, body) {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`fail ${name}: ${String(error?.stack ?? error).replaceAll('\n', ' ').slice(0, 1500)}`);
  }
}

export function finish() {
  process.exit(failures === 0 ? 0 : 1);
}

export const weather = {
  type: 'object',
  properties: { city: { type: 'string', enum: ['Oslo', 'Lima'] }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
};

export function assertWeather(value) {
  assert.deepEqual(Object.keys(value).sort(), ['city', 'days']);
  assert.ok(['Oslo', 'Lima'].includes(value.city), `city ${value.city}`);
  assert.ok(Number.isInteger(value.days) && value.days >= 1 && value.days <= 9, `days ${value.days}`);
}

// Waits until the server computes nothing with the model: then it unloads at once.
export async function idle(model) {
  await fetch(`${url}/api/generate`, { method: 'POST', body: JSON.stringify({ model, keep_alive: 0 }) });
  for (let i = 0; i < 2400; ++i) {
    const { models } = await (await fetch(`${url}/api/ps`)).json();
    if (models.every((one) => one.name !== `${model}:latest`)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the model is still busy');
}
