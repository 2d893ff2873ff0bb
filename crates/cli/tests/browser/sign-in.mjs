// Signing in, by the link and by the password; users, and what the trail has of it.
import assert from 'node:assert/strict';
import { console_, flow, shot, signIn } from './browser.mjs';

await flow('sign-in', async (open) => {
  const page = await open();
  await page.goto(process.env.FRESHEN_LINK);
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.goto(process.env.FRESHEN_LINK);
  await page.getByText('This link was used').waitFor();

  // By the keyboard alone, and wrong at first.
  await page.goto(`${console_}/ui/trail`);
  await page.getByLabel('User name').focus();
  await page.keyboard.type('demo');
  await page.keyboard.press('Tab');
  await page.keyboard.type('not the password');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('User name or password are not right.').waitFor();
  await shot(page, 'sign-in-refused');
  await page.getByLabel('Password').fill(process.env.FRESHEN_PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Audit trail' }).waitFor();

  // A viewer, whose password is shown once, and who may look on.
  await page.getByRole('link', { name: 'Users' }).click();
  await page.getByLabel('Name').fill('vera');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.getByText('it is shown this once').waitFor();
  await shot(page, 'user-added');
  const password = await page.locator('.once code').nth(1).innerText();
  const other = await open();
  await other.goto(`${console_}/ui/`);
  await other.getByLabel('User name').fill('vera');
  await other.getByLabel('Password').fill(password);
  await other.getByRole('button', { name: 'Sign in' }).click();
  await other.getByRole('heading', { name: 'Overview' }).waitFor();
  assert.equal(await other.getByRole('link', { name: 'Users' }).count(), 0);
  await other.getByRole('link', { name: 'Refresh and Prefetch' }).click();
  assert.ok(await other.getByRole('button', { name: 'Purge' }).isDisabled());
  await page.getByRole('row', { name: /vera/ }).getByRole('button', { name: /Remove/ }).click();
  await page.getByRole('cell', { name: 'vera' }).waitFor({ state: 'detached' });
  await other.reload();
  await other.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.goto(`${console_}/ui/trail`);
  await page.getByRole('cell', { name: 'add user' }).waitFor();
  await page.getByRole('cell', { name: 'remove user' }).waitFor();
  await shot(page, 'trail');
});
