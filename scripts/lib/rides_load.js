// What artillery's users do besides waiting: each asks for its own place, and the ids of
// the rides that they got are kept, a line each, in the file that RIDES_FILE names.

const fs = require('node:fs');

function place(request, _context, _events, next) {
  request.json = { PickupLocation: { Latitude: 180 * Math.random() - 90, Longitude: 360 * Math.random() - 180 } };
  return next();
}

function keep(_request, response, _context, _events, next) {
  if (response.statusCode === 201) {
    // One write of less than a page is whole, whatever the other workers write.
    fs.appendFileSync(process.env.RIDES_FILE, `${JSON.parse(response.body).RideId}\n`);
  }
  return next();
}

module.exports = { keep, place };
