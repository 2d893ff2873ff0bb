// What pages do beside htmx. Without it they work all the same.
'use strict';

// A form that removes something asks first.
document.addEventListener('submit', (event) => {
  const question = event.target.dataset.sure;
  if (question && !window.confirm(question)) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}, true);
