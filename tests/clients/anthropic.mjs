// The npm package "@anthropic-ai/sdk", unmodified.
import Anthropic from '@anthropic-ai/sdk';
import { assert, assertWeather, check, finish, idle, url, weather } from './checks.mjs';

const anthropic = new Anthropic({ baseURL: url, apiKey: 'unused', maxRetries: 0 });
const common = { model: 'mini', max_tokens: 16, temperature: 0, messages: [{ role: 'user', content: 'Hello' }] };
const tools = [{ name: 'get_weather', description: 'of a city', input_schema: weather }];

await check('anthropic: messages', async () => {
  const message = await anthropic.messages.create(common);
  assert.equal(message.content[0].type, 'text');
  assert.equal(message.stop_reason, 'max_tokens');
});

await check('anthropic: messages, streamed', async () => {
  const whole = await anthropic.messages.create(common);
  const final = await anthropic.messages.stream(common).finalMessage();
  assert.deepEqual(final.content, whole.content);
  assert.deepEqual(final.usage.output_tokens, whole.usage.output_tokens);
});

for (const kind of [{ type: 'any' }, { type: 'tool', name: 'get_weather' }]) {
  const tool_choice = { ...kind, disable_parallel_tool_use: true };
  await check(`anthropic: tools, ${tool_choice.type}`, async () => {
    const message = await anthropic.messages.create({ ...common, model: 'tooled', max_tokens: 200, tools, tool_choice });
    assert.equal(message.stop_reason, 'tool_use');
    const block = message.content.find((one) => one.type === 'tool_use');
    assertWeather(block.input);
  });
}

await check('anthropic: tools, streamed', async () => {
  const stream = anthropic.messages.stream({ ...common, model: 'tooled', max_tokens: 200, tools, tool_choice: { type: 'any' } });
  const message = await stream.finalMessage();
  assertWeather(message.content.find((one) => one.type === 'tool_use').input);
});

await check('anthropic: tool runner', async () => {
  const asked = [];
  const runner = anthropic.beta.messages.toolRunner({
    ...common, model: 'tooled', max_tokens: 200, tool_choice: { type: 'any', disable_parallel_tool_use: true }, max_iterations: 2,
    tools: [{ ...tools[0], type: 'custom', parse: (input) => input, run: (input) => { asked.push(input); return 'sunny'; } }],
  });
  await runner;
  assert.equal(asked.length, 2);
  asked.forEach(assertWeather);
  const { messages } = runner.params;
  assert.deepEqual(messages.slice(0, 3).map(({ role }) => role), ['user', 'assistant', 'user']);
  const counted = await anthropic.messages.countTokens({ model: 'tooled', tools: [tools[0]], messages: messages.slice(0, 3) });
  assert.equal((await runner.done()).usage.input_tokens, counted.input_tokens, 'the second turn has the first');
});

await check('anthropic: counts tokens', async () => {
  const { messages, model } = common;
  const counted = await anthropic.messages.countTokens({ model, messages });
  assert.equal(counted.input_tokens, (await anthropic.messages.create(common)).usage.input_tokens);
});

await check('anthropic: models', async () => {
  const names = [];
  for await (const model of anthropic.models.list()) names.push(model.id);
  assert.ok(names.includes('mini:latest'));
});

await check('anthropic: errors', async () => {
  await assert.rejects(anthropic.messages.create({ ...common, model: 'nope' }), (error) => {
    assert.ok(error instanceof Anthropic.NotFoundError);
    assert.equal(error.error.error.type, 'not_found_error');
    return true;
  });
});

await check('anthropic: abort in the middle', async () => {
  const stream = anthropic.messages.stream({ ...common, model: 'endless', max_tokens: 100000 });
  stream.on('text', () => stream.abort());
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
  await idle('endless');
});

finish();
