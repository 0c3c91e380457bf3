'use strict';

// License: Apache-2.0 OR MIT
//
// plugins/calspamd_strip.js: a decision for the calendar that came with a mail is nobody's, so it
// is removed. Stands before the plug-in that asks calspamd.

exports.hook_data_post = function (next, connection) {
  if (connection.transaction) {
    connection.transaction.remove_header('X-Calspam-Decision');
  }
  next();
};
