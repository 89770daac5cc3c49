// The npm package "openai", unmodified.
import OpenAI from 'openai';
import { assert, assertWeather, check, finish, idle, url, weather } from './checks.mjs';

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 });
const common = { model: 'mini', messages: [{ role: 'user', content: 'Hello' }], temperature: 0, max_tokens: 16 };
const tools = [{ type: 'function', function: { name: 'get_weather', description: 'of a city', parameters: weather } }];

await check('openai: chat completions', async () => {
  const answer = await openai.chat.completions.create({ ...common, n: 2, seed: 1, logprobs: true, top_logprobs: 2 });
  assert.equal(answer.choices.length, 2);
  assert.ok(answer.choices[0].message.content.length > 0);
  assert.equal(answer.choices[0].logprobs.content[0].top_logprobs.length, 2);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
});

await check('openai: chat completions, streamed', async () => {
  const whole = await openai.chat.completions.create(common);
  const stream = openai.chat.completions.stream({ ...common, stream_options: { include_usage: true } });
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, whole.choices[0].message.content);
  assert.equal((await stream.totalUsage()).completion_tokens, whole.usage.completion_tokens);
});

for (const tool_choice of ['required', { type: 'function', function: { name: 'get_weather' } }]) {
  await check(`openai: tools, ${typeof tool_choice === 'string' ? tool_choice : 'named'}`, async () => {
    const answer = await openai.chat.completions.create({ ...common, model: 'tooled', max_tokens: 200, tools, tool_choice,
      parallel_tool_calls: false });
    const [choice] = answer.choices;
    assert.equal(choice.finish_reason, 'tool_calls');
    for (const call of choice.message.tool_calls) {
      assert.equal(call.function.name, 'get_weather');
      assertWeather(JSON.parse(call.function.arguments));
    }
  });
}

await check('openai: tools, streamed', async () => {
  const stream = openai.chat.completions.stream({ ...common, model: 'tooled', max_tokens: 200, tools, tool_choice: 'required' });
  const final = await stream.finalChatCompletion();
  assertWeather(JSON.parse(final.choices[0].message.tool_calls[0].function.arguments));
});

await check('openai: structured output', async () => {
  const answer = await openai.chat.completions.parse({ ...common, max_tokens: 200,
    response_format: { type: 'json_schema', json_schema: { name: 'weather', strict: true, schema: weather } } });
  assertWeather(JSON.parse(answer.choices[0].message.content));
});

await check('openai: completions', async () => {
  const answer = await openai.completions.create({ model: 'mini', prompt: ['Hello', 'Bye'], max_tokens: 8, temperature: 0, echo: true });
  assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
  assert.ok(answer.choices[1].text.startsWith('Bye'));
});

await check('openai: responses', async () => {
  const request = { model: 'mini', input: 'Hello', temperature: 0, max_output_tokens: 12 };
  const whole = await openai.responses.create(request);
  assert.equal(whole.status, 'incomplete');
  assert.ok(whole.output_text.length > 0);
  const stream = openai.responses.stream(request);
  const final = await stream.finalResponse();
  assert.equal(final.output_text, whole.output_text);
});

await check('openai: responses with a tool', async () => {
  const answer = await openai.responses.create({ model: 'tooled', input: 'Hello', temperature: 0, max_output_tokens: 200,
    tool_choice: 'required', tools: [{ type: 'function', name: 'get_weather', parameters: weather, strict: true }] });
  const calls = answer.output.filter((item) => item.type === 'function_call');
  assert.ok(calls.length > 0);
  assertWeather(JSON.parse(calls[0].arguments));
});

await check('openai: embeddings', async () => {
  const { data } = await openai.embeddings.create({ model: 'embedder', input: ['Hello', 'Good night'] });
  assert.deepEqual(data.map((one) => one.index), [0, 1]);
  assert.ok(Math.abs(Math.hypot(...data[0].embedding) - 1) < 1e-4);
  const floats = await openai.embeddings.create({ model: 'embedder', input: 'Hello', encoding_format: 'float', dimensions: 8 });
  assert.equal(floats.data[0].embedding.length, 8);
  await assert.rejects(openai.embeddings.create({ model: 'mini', input: 'x' }), /does not support embeddings/);
});

await check('openai: models', async () => {
  const names = [];
  for await (const model of openai.models.list()) names.push(model.id);
  assert.ok(names.includes('mini:latest'));
  assert.equal((await openai.models.retrieve('mini')).object, 'model');
});

await check('openai: errors', async () => {
  await assert.rejects(openai.chat.completions.create({ ...common, model: 'nope' }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.type, 'not_found_error');
    return true;
  });
  await assert.rejects(openai.chat.completions.create({ ...common, top_logprobs: 99 }), OpenAI.BadRequestError);
});

await check('openai: abort in the middle', async () => {
  const stream = await openai.chat.completions.create({ ...common, model: 'endless', max_tokens: 100000, stream: true });
  for await (const chunk of stream) {
    assert.ok(chunk);
    stream.controller.abort();
  }
  await idle('endless');
});

finish();
