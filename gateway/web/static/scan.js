// A label's code by the camera: where the browser reads QR codes itself (BarcodeDetector), each field for a code gets a button.
// The picture stays in this page: nothing is sent, nothing is kept. A link from a label (…/newcomers#CODE) fills the field, too,
// and leaves the address at once; what follows the # never reaches any server. Without this file the code is typed.
"use strict";
(function () {
  const LOOK = 250; // ms between two looks
  const LONGEST = 60000; // ms; then the camera is let go
  const fields = Array.from(document.querySelectorAll("input[data-code]"));
  let stream = null, held = "";

  function codeOf(text) {
    const code = text.slice(text.lastIndexOf("#") + 1).replace(/[\s-]/g, "").toUpperCase();
    return /^[A-Z2-7]{16,64}$/.test(code) ? code : "";
  }

  function fill(field, code) {
    const around = field.closest("details");
    if (around) around.open = true;
    field.value = code.replace(/(.{4})(?=.)/g, "$1-");
    field.focus();
  }

  function fromLink() {
    const code = location.hash.length > 16 ? codeOf(location.hash) : "";
    if (!code) return;
    history.replaceState(null, "", location.pathname + location.search);
    if (fields.length === 1) { fill(fields[0], code); return; }
    held = code; // whose it is, the owner says by going to a field
  }

  function end(video, status, words) {
    if (stream) stream.getTracks().forEach(function (track) { track.stop(); });
    stream = null;
    if (video) video.remove();
    status.textContent = words;
  }

  async function scan(field, button, status) {
    if (stream) return;
    let video = null;
    try {
      const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
      video = document.createElement("video");
      video.muted = true;
      video.setAttribute("playsinline", "");
      video.setAttribute("aria-label", "What the camera sees");
      video.srcObject = stream;
      button.after(video);
      await video.play();
      status.textContent = "Hold the label's QR code in front of the camera.";
      const until = Date.now() + LONGEST;
      while (stream && Date.now() < until) {
        for (const found of await detector.detect(video)) {
          const code = codeOf(found.rawValue);
          if (code) { end(video, status, "The code is read. Compare it with the label, then send it."); fill(field, code); return; }
          status.textContent = "This QR code holds no label's code.";
        }
        await new Promise(function (resolve) { window.setTimeout(resolve, LOOK); });
      }
      end(video, status, "No code was found. Type it.");
    } catch (error) {
      end(video, status, "The camera cannot be used here. Type the code.");
    }
  }

  fields.forEach(function (field) {
    field.addEventListener("focus", function () { if (held && !field.value) { const code = held; held = ""; fill(field, code); } });
    if (!window.BarcodeDetector || !navigator.mediaDevices) return;
    const button = document.createElement("button"), status = document.createElement("span");
    button.type = "button";
    button.textContent = "Scan it";
    status.className = "help";
    status.setAttribute("role", "status");
    button.addEventListener("click", function () { scan(field, button, status); });
    field.after(button, status);
  });
  window.addEventListener("pagehide", function () { if (stream) stream.getTracks().forEach(function (track) { track.stop(); }); });
  fromLink();
})();
