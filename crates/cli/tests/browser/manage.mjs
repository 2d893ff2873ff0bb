// Domains, accounts, keys, limits, the library, quotas.
import assert from 'node:assert/strict';
import { console_, flow, shot, signIn } from './browser.mjs';

await flow('manage', async (open) => {
  const page = await open();
  await signIn(page);
  await page.getByRole('link', { name: 'Domains' }).click();
  await page.getByRole('link', { name: 'Add a domain' }).click();
  await page.getByLabel('Domain').fill('new.localhost');
  await page.getByLabel('Origin').fill('origin without a scheme');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.getByRole('alert').waitFor();
  // POPs try it before it is saved: nobody listens there.
  await page.getByLabel('Origin').fill('http://127.0.0.1:1');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.getByText('The origin did not answer well.').waitFor();
  for (const pop of ['pop-asia', 'pop-europe', 'pop-america']) await page.locator('.faults li', { hasText: pop }).waitFor();
  await shot(page, 'domain-tried');
  const other = await open();
  await signIn(other);
  await other.goto(`${console_}/ui/domains`);
  assert.equal(await other.getByRole('link', { name: 'new.localhost' }).count(), 0, 'it is not saved');
  await page.getByLabel('Origin').fill(process.env.FRESHEN_ORIGIN);
  await page.getByRole('button', { name: 'Add' }).click();
  await page.getByRole('heading', { name: 'new.localhost' }).waitFor();
  // The trail has what every POP was answered, both times.
  await other.goto(`${console_}/ui/trail`);
  await other.getByRole('row', { name: /try origin.*127\.0\.0\.1:1 .*0 of 3 POPs were answered/ }).waitFor();
  await other.getByRole('row', { name: /try origin.*3 of 3 POPs were answered/ }).waitFor();
  await page.getByLabel('Seconds of freshness, where the origin is silent').fill('77');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('status').getByText('Saved as order').waitFor();
  assert.equal(await page.getByLabel('Seconds of freshness, where the origin is silent').inputValue(), '77');
  await shot(page, 'domain');
  await page.getByRole('button', { name: 'Remove this domain' }).click();
  await page.getByRole('heading', { name: 'Domains' }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'new.localhost' }).count(), 0);

  await page.getByRole('link', { name: 'Accounts and keys' }).click();
  await page.getByLabel('Name').fill('shop');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.getByRole('heading', { name: 'Account shop' }).waitFor();
  await page.getByRole('button', { name: 'Make it' }).click();
  await page.getByText('it is shown this once').waitFor();
  const secret = await page.locator('.once code').nth(1).innerText();
  await shot(page, 'key-made');
  await page.getByLabel('URLs a day').fill('77');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('The limits are changed.').waitFor();
  assert.equal((await page.content()).includes(secret), false, 'a secret is shown once');
  await page.getByRole('button', { name: /Disable/ }).click();
  await page.getByText('disabled').waitFor();

  await page.getByRole('link', { name: 'Media library' }).click();
  await page.getByLabel('Medium').last().fill('film-1');
  await page.getByLabel('Address').fill('http://elsewhere.example/v.m3u8');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.getByText('elsewhere.example is not a domain of this account').waitFor();
  await page.getByLabel('Address').fill('http://demo.localhost/video/master.m3u8');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.getByRole('rowheader', { name: 'film-1' }).waitFor();
  await shot(page, 'library');
  await page.getByRole('link', { name: 'Quotas' }).click();
  await page.getByRole('row', { name: /prefetch/ }).waitFor();
  await shot(page, 'quotas');
});
