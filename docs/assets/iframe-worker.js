// The search runs in a worker, which browsers refuse to pages that are opened from disk. There, a hidden frame takes its
// place: neither knows more than messages, which are copies and come later. Pages from a server keep the real one.
if (location.protocol === "file:") {
  const later = (data, receive) => {
    const copy = structuredClone(data);
    setTimeout(() => receive(new MessageEvent("message", { data: copy })));
  };
  window.Worker = class {
    constructor(url) {
      const script = new URL(url, document.baseURI).href.replaceAll('"', "%22");
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.title = "search";
      this.frame.srcdoc = `<script>self.postMessage = (data) => self.send(data)</script><script src="${script}"></script>`;
      this.frame.addEventListener("load", () => {
        this.frame.contentWindow.send = (data) => later(data, (message) => this.onmessage?.(message));
        const waiting = this.waiting;
        this.waiting = null;
        waiting.forEach((data) => this.postMessage(data));
      });
      document.body.append(this.frame);
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else later(data, (message) => this.frame.contentWindow?.dispatchEvent(message));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
